"""The services of So1s, one package a pod."""
