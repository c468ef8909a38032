drill "syntax-comma-missing" {
  schedule {
    cron   = "0 10 1 * *"
    window = ["Mon 09:00-16:00" "Tue 09:00-16:00"] # ERROR: Missing item separator
  }
}
