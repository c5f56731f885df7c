"""How true the modelled cycles are: runs kept as recordings, priced again and held against what was published of boards."""
