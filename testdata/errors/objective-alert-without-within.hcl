drill "objective-alert-without-within" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    alert "PrimaryDown" { # ERROR: Missing required argument # WARNING: Not available yet
    }
  }
}
