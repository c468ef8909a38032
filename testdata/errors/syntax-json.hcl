{ "drill": { "syntax-json": {} } } # ERROR: Argument or block definition required
