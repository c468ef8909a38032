drill "notify" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  notify "slack" { # WARNING: Not available yet
    channel = "#oncall"
  }
}
