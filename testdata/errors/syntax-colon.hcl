drill "syntax-colon" {
  timeout: "5m" # ERROR: Argument or block definition required
}
