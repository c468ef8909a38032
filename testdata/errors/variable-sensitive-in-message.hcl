variable "who" {
  default   = "ops"
  sensitive = true
}

drill "variable-sensitive-in-message" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > 5
    error_message = "Call ${var.who}." # ERROR: Misplaced secret
  }
}
