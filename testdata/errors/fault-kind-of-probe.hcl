drill "fault-kind-of-probe" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "http" "orders" {} # ERROR: Unknown kind of fault
}
