drill "secret-compared" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri") == "" ? "a" : "b" # ERROR: Secret not known yet
  }

  fault "kill_primary" "orders" {}
}
