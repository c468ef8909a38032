drill "kill-primary" { # ERROR: Unclosed configuration block
  timeout = "10m"
