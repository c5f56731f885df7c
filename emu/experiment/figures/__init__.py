"""The published figures of kernel sets: the keyword spotter and the shapes that people use, and what the kernels are to reach."""
