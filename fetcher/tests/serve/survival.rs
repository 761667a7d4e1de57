//! What a server can do wrong in HTTP/1, and what is reported then.
