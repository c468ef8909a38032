drill "unknown-function" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secrets("orders-app", "uri") # ERROR: Call to unknown function
  }

  fault "kill_primary" "orders" {}
}
