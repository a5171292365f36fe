"""Runs the replicas of model versions.

Consumes  ImageBuilt, DeploymentRequested, DeploymentScaleRequested, DeploymentRollbackRequested,
          DeploymentRemovalRequested, CheckFinished, VariantReleased
Produces  DeploymentRequested, DeploymentProgressed, DeploymentReady, DeploymentFailed,
          ReplicasChanged, DeploymentRetiring, DeploymentRemoved
Owns      deployments, their revisions, and verdicts on their images
Promises  - a revision becomes ready once; replicas that are lost and come back are ReplicasChanged
          - every chain that asked for a revision hears what became of it: it is ready, failed or superseded
          - what serves goes on to serve until the next revision does, and until that one's checks passed
          - an upload takes no later one's place, however late it is built
          - replicas go only after every endpoint has released them, and as soon as they have; who asked
            for that is told, also where the deployment is wanted anew before
          - replicas outlive this service, and are found again
          - what another hand changes of a deployment in the cluster is put back at once
"""
