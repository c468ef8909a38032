drill "syntax-two-on-a-line" {
  timeout = "5m" repeat = 3 # ERROR: Missing newline after argument
}
