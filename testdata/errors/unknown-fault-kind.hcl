drill "unknown-fault-kind" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primry" "orders" { # ERROR: Unknown kind of fault
  }
}
