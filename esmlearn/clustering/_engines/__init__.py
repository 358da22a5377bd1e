"""Search engines: proteins in, significant local alignments out.

`base` defines an engine, `registry` lists them, `hits` holds alignments and their significance, and
`programs` runs external programs. Each engine is one file with the parser of its output: `exact`
(Smith-Waterman, with `long_alignment` for the traceback in little memory), `mmseqs` and `diamond`;
`cdhit` clusters only.
"""
