drill "syntax-quote-not-closed" {
  description = "The primary dies. # ERROR: Invalid multi-line string
}
