"""Grids of kernels, compilers, options, cores, memories and shapes: `spec` reads what is wanted, `plan` makes points and tasks of it,
`measure` runs one task, `worker` in a process of its own, `local` and `cluster` many of them; `store` keeps the rows; `run` ties it together."""
