variable "limit" {
  default = 5
}

drill "condition-variable-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  abort "outage" {
    condition     = target.orders.lag_seconds > var.limt # ERROR: Unknown variable
    error_message = "Writes fail."
  }
}
