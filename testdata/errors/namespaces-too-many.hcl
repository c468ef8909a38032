drill "namespaces-too-many" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "n1" {
    from = {
      namespace = "a1"
      selector  = "app=a"
    }
    to = {
      namespace = "a1"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n2" {
    from = {
      namespace = "a2"
      selector  = "app=a"
    }
    to = {
      namespace = "a2"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n3" {
    from = {
      namespace = "a3"
      selector  = "app=a"
    }
    to = {
      namespace = "a3"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n4" {
    from = {
      namespace = "a4"
      selector  = "app=a"
    }
    to = {
      namespace = "a4"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n5" {
    from = {
      namespace = "a5"
      selector  = "app=a"
    }
    to = {
      namespace = "a5"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n6" {
    from = {
      namespace = "a6"
      selector  = "app=a"
    }
    to = {
      namespace = "a6"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n7" {
    from = {
      namespace = "a7"
      selector  = "app=a"
    }
    to = {
      namespace = "a7"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n8" {
    from = {
      namespace = "a8"
      selector  = "app=a"
    }
    to = {
      namespace = "a8"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n9" {
    from = {
      namespace = "a9"
      selector  = "app=a"
    }
    to = {
      namespace = "a9"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n10" {
    from = {
      namespace = "a10"
      selector  = "app=a"
    }
    to = {
      namespace = "a10"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n11" {
    from = {
      namespace = "a11"
      selector  = "app=a"
    }
    to = {
      namespace = "a11"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n12" {
    from = {
      namespace = "a12"
      selector  = "app=a"
    }
    to = {
      namespace = "a12"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n13" {
    from = {
      namespace = "a13"
      selector  = "app=a"
    }
    to = {
      namespace = "a13"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n14" {
    from = {
      namespace = "a14"
      selector  = "app=a"
    }
    to = {
      namespace = "a14"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n15" {
    from = {
      namespace = "a15"
      selector  = "app=a"
    }
    to = {
      namespace = "a15"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n16" {
    from = {
      namespace = "c16" # ERROR: Too many namespaces
      selector  = "app=a"
    }
    to = {
      namespace = "c16"
      selector  = "app=b"
    }
    duration = "10s"
  }
  fault "network_partition" "n17" {
    from = {
      namespace = "c17"
      selector  = "app=a"
    }
    to = {
      namespace = "c17"
      selector  = "app=b"
    }
    duration = "10s"
  }
}
