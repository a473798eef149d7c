"""``actinium gpu``: what there is, what a program compiles to, and running one."""
