drill "fault-network_partition" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" {
    target    = "orders"
    duration  = "2s"                                  # ERROR: Duration out of range
    from      = { role = "leader" }                   # ERROR: Unknown role
    to        = { role = "replica", api_sever = true } # ERROR: Unsupported argument
    direction = "sideways"                            # ERROR: Unknown direction
    action    = "reject"                              # WARNING: Not available yet
  }
}
