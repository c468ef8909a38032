drill "fault-missing" { # ERROR: Missing fault block
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }
}
