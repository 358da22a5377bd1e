"""Language models: which exist, how their files are read, and the network that runs them."""
