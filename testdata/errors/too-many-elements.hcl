locals {
  all = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : a]]] # ERROR: Too much to evaluate
}

drill "too-many-elements" {
  target "postgresql" "orders" {
    namespace = local.all[0]
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
