drill "file-in-namespace" {
  target "postgresql" "orders" {
    namespace = file("file-in-namespace.hcl") # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
