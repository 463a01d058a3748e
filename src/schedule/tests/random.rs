//! Random graphs: the program computes what the interpreter does.
