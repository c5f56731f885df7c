"""The System Control Space, as far as start-up code needs it: CPUID, and CPACR, which turns the FPU on.

The rest of it, and every other peripheral, is refused by the address (and by name, where the architecture gives one).
"""

from __future__ import annotations

START, SIZE = 0xE000E000, 0x1000
CPUID, CPACR = 0xE000ED00, 0xE000ED88
IMPLEMENTED = (CPUID, CPACR)

# Names for the refusals (Armv7-M ARM, B3.2 and B3.3).
NAMES = {0xE000E010: "SYST_CSR", 0xE000E014: "SYST_RVR", 0xE000E018: "SYST_CVR", 0xE000E01C: "SYST_CALIB", 0xE000E100: "NVIC_ISER0",
         0xE000ED04: "ICSR", 0xE000ED08: "VTOR", 0xE000ED0C: "AIRCR", 0xE000ED10: "SCR", 0xE000ED14: "CCR", 0xE000ED24: "SHCSR",
         0xE000ED28: "CFSR", 0xE000ED2C: "HFSR", 0xE000ED34: "MMFAR", 0xE000ED38: "BFAR", 0xE000ED90: "MPU_TYPE", 0xE000ED94: "MPU_CTRL",
         0xE000EDFC: "DEMCR", 0xE000EF34: "FPCCR", 0xE0001000: "DWT_CTRL", 0xE0001004: "DWT_CYCCNT"}
