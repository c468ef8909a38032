locals {
  dsn    = secret("orders-app", "uri")
  length = length(local.dsn) # ERROR: Secret not known yet
  same   = local.dsn == "postgres://" # ERROR: Secret not known yet
  quoted = format("%q", local.dsn) # ERROR: Invalid function argument
  fine   = format("%s?sslmode=%s", local.dsn, "require")
  joined = join("", [local.dsn, "?sslmode=require"])
}

drill "secret-looked-at" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = upper(local.dsn) # ERROR: Secret not known yet
  }

  fault "kill_primary" "orders" {}
}
