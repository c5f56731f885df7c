// Before anything is drawn: the theme that was chosen here last. Without a choice the system's holds.
try {
  const chosen = localStorage.getItem("thumbcycle-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* no storage for files in this browser */ }
