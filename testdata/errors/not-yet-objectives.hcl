drill "not-yet-objectives" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    read_outage = "0s"

    alert "PrimaryDown" { # WARNING: Not available yet
      within = "60s"
    }
  }
}
