drill "syntax-brace-too-many" {
}
} # ERROR: Argument or block definition required
