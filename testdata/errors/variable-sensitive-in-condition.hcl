variable "limit" {
  type      = number
  default   = 5
  sensitive = true
}

drill "variable-sensitive-in-condition" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > var.limit # ERROR: Misplaced secret
    error_message = "Writes fail."
  }
}
