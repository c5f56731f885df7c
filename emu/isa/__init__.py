"""What an instruction is: its width, kind, registers and memory access. Knows no core, no program and no price."""
