drill "brace-not-closed" { # ERROR: Unclosed configuration block
  timeout = "10m"
