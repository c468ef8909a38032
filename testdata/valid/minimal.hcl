# The shortest useful drill: what, which fault, and what good means.
drill "minimal" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni,cluster-name=orders"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
