drill "condition-missing" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" { # ERROR: Missing required argument
    error_message = "Writes fail."
  }
}
