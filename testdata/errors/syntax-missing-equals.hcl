drill "syntax-missing-equals" {
  timeout "5m" # ERROR: Invalid block definition
}
