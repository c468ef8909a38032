drill "ca-is-a-path" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
    ca        = "/etc/ssl/ca.pem" # ERROR: Invalid ca
  }

  fault "kill_primary" "orders" {}
}
