drill "label-extra" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" "now" { # ERROR: Extraneous label for fault
  }
}
