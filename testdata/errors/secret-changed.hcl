drill "secret-changed" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = upper(secret("orders-app", "uri")) # ERROR: Secret not known yet
  }

  fault "kill_primary" "orders" {}
}
