// Keeps one processor busy.
for (;;);
