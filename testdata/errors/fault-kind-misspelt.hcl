drill "fault-kind-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primry" "orders" {} # ERROR: Unknown kind of fault
}
