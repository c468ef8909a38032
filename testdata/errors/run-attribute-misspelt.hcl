drill "run-attribute-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = run.seconds > 90 # ERROR: Unknown attribute
    error_message = "Too long."
  }

  abort "fault" {
    condition     = run > 90 # ERROR: Incomplete reference
    error_message = "Too long."
  }
}
