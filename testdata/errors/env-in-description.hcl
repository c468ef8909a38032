drill "env-in-description" {
  description = "In ${env("CLUSTER")}." # ERROR: Misplaced secret

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
