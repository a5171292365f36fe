"""Runs the replicas of model versions.

Consumes  ImageBuilt, DeploymentRequested, DeploymentScaleRequested, DeploymentRollbackRequested,
          DeploymentRemovalRequested, VariantReleased, VariantInUse
Produces  DeploymentRequested, DeploymentProgressed, DeploymentReady, DeploymentFailed,
          ReplicasChanged, DeploymentRetiring, DeploymentRemoved
Owns      deployments and their revisions
Promises  - a revision becomes ready once; replicas that are lost and come back are ReplicasChanged
          - what serves goes on to serve until the next revision does
          - replicas go only after every endpoint has released them
          - replicas outlive this service, and are found again
"""
