"""Fixed layouts: number types, records, and what is made from them for C++, Python and people."""
