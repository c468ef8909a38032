drill "guard-namespace-singular" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    namespace = ["shop"] # ERROR: Unsupported argument
  }
}
