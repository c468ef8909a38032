drill "single-quotes" {
  description = 'Single quotes are no quotes.' # ERROR: Invalid character
}
