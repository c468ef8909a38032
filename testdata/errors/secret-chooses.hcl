locals {
  words  = { a = "shop", b = "web" }
  chosen = local.words[env("CHOICE")]
}

drill "secret-chooses" {
  target "postgresql" "orders" {
    namespace = local.chosen # ERROR: Misplaced secret
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
