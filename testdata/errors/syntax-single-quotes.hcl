drill "syntax-single-quotes" {
  description = 'The primary dies.' # ERROR: Invalid character
}
